#pragma no_such_pragma
#no_such_directive
