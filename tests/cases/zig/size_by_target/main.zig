export fn one() usize {
    comptime {
        if (@sizeOf(*u8) != 8) @compileError("eight bytes are needed");
    }
    return 1;
}
