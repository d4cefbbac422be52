#include <string.h>
#include "mine/string.h"
size_t length(const char *text) { return strlen(text) + MINE; }
