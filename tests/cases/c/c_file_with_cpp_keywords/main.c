int main(void) { int class = 0, new = 0, template = 0; return class + new + template; }
