"""The AWS stack and its deploy command; imports nothing of the program that it deploys."""
