fn main() {
    let spare = 1;
}
