fn main() {
    let name = String::from("name");
    let owner = name;
    println!("{}", name.len() + owner.len());
}
