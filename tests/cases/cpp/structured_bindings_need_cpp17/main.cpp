struct Pair { int first; int second; };
int sum(Pair pair)
{
    auto [first, second] = pair;
    return first + second;
}
