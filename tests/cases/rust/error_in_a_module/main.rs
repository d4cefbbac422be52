mod shapes;

fn main() {
    shapes::area();
}
