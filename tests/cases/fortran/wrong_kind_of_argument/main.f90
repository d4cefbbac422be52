program main
  implicit none
  print *, twice('two')
contains
  integer function twice(value)
    integer, intent(in) :: value
    twice = 2 * value
  end function twice
end program main
