int a = missing_a;
int b = missing_b;
int c = missing_c;
int d = missing_d;
