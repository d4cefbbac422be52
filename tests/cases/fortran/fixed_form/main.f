      program main
      print *, 'in its place'
print *, 'too far to the left'
      end
