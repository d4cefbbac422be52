int other()
{
    return missing;
}
