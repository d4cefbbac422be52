int add(int left, int right);
int one(void) { return add(1); }
