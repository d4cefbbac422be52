fn Stack(comptime T: type, comptime size: usize) type {
    return struct {
        items: [size]T = undefined,
        used: usize = 0,

        fn push(self: *@This(), item: T) bool {
            if (self.used == size) return false;
            self.items[self.used] = item;
            self.used += 1;
            return true;
        }
    };
}

export fn pushes() usize {
    var stack: Stack(u16, 4) = .{};
    while (stack.push(7)) {}
    return stack.used;
}
