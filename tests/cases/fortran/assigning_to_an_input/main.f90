subroutine reset(value)
  integer, intent(in) :: value
  value = 0
end subroutine reset
