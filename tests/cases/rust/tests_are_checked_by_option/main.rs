fn main() {}

#[cfg(test)]
mod tests {
    #[test]
    fn adds() {
        let _sum: u8 = "two";
    }
}
