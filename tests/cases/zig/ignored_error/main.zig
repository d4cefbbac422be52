fn fails() !void {
    return error.Always;
}

export fn go() void {
    fails();
}
