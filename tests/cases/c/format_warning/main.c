#include <stdio.h>
void show(void) { printf("%s\n", 1); }
