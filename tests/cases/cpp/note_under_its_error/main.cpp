int value;
double value;
