_Static_assert(sizeof(void *) == 8, "pointers have eight bytes");
