#include "geometry/size.h"
int height(struct size size) { return size.height; }
