int number(void) { int value = "one"; return value; }
