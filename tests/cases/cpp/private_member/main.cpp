class Account { int balance = 0; };
int steal(Account &account) { return account.balance; }
