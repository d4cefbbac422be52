static int helper(void) { return 0; }
int other(void);
int main(void) { return helper() + other(); }
