const builtin = @import("builtin");

comptime {
    if (builtin.os.tag != .windows) @compileError("for Windows only");
}

export fn one() u32 {
    return 1;
}
