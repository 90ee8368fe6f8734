"""Speed: rates beside other libraries (the folder itself), the profile of the loop, and scaling with the work."""
