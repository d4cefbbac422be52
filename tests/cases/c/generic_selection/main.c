#define NAME(value) _Generic((value), int: "int", char *: "text")
const char *name = NAME(1.0f);
