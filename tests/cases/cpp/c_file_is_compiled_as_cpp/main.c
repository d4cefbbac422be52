void *memory();
int *numbers = memory();
