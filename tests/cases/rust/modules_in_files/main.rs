mod shapes;

fn main() {
    println!("{}", shapes::square::area(2.0));
}
