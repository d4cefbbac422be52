pub async fn nothing() {}
