pub async fn price() -> u32 { 2 }
