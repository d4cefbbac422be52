int value;
/* this never ends
int other;
