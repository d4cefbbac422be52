const std = @import("std");

pub fn main() void {
    std.debug.print("hello {d}\n", .{@as(u8, 1)});
}
