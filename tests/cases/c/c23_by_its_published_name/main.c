_Static_assert(sizeof(char) == 1);
