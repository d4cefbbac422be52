extern int count;
int values[count];
