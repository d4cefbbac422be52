#pragma once
#include <windows.h>
inline bool ask(const char *text) { return MessageBoxA(nullptr, text, "?", MB_YESNO) == IDYES; }
