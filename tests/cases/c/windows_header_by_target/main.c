#include <windows.h>
DWORD process(void) { return GetCurrentProcessId(); }
