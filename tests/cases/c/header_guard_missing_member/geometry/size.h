#ifndef SIZE_H
#define SIZE_H
struct size { int width; };
#endif
