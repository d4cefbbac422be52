#ifndef NEVER_DEFINED
#error this platform is not supported
#endif
