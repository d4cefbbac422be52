program count
  implicit none
  integer :: total = 0
  totl = total + 1
end program count
