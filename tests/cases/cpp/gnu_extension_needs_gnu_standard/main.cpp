int one = 1;
typeof(one) two = 2;
