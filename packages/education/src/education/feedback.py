"""Feedback to pupils: python -m education.feedback run=FOLDER input=FILE output=feedback.jsonl.

One JSON line an answer: its grade, whether a human should see it, whether it looks gamed, the words that moved the
grade, and what of the reference answer is missing.
"""

import education

if __name__ == "__main__":
    education.feedback.main()
