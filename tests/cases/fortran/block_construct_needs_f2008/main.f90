program main
  implicit none
  block
    integer :: inner
    inner = 1
    print *, inner
  end block
end program main
