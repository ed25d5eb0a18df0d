# Open test page
open http://localhost:8000/examples/simple-client.html

# Check browser console for errors
# Use debug tools for detailed analysis
