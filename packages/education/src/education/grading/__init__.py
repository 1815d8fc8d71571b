"""How graders are judged: agreement with humans, what helps only the machine, what a human should see."""
