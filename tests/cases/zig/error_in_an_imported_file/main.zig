const square = @import("shapes/square.zig");

export fn area(side: f64) f64 {
    return square.area(side);
}
