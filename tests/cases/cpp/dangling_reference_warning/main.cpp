int &broken() { int value = 1; return value; }
