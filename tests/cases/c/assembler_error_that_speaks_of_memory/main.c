__asm__(".error \"out of memory\"");

int main(void) { return 0; }
